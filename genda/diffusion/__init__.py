"Diffusion: importing this package fills the table of samplers."

from . import edm, samplers, score
