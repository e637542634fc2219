import warnings as _warnings

__version__ = "0.1.0"

# fastai compiles one of its layers when it is read in, and PyTorch advises against how
_warnings.filterwarnings("ignore", "`torch.jit.script", FutureWarning)
