"Diffusion: importing this package fills the table of samplers."

from . import samplers, score
