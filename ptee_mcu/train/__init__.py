"""Training of backbones and exit heads; the only package besides the PyTorch frontend that needs torch."""
