"""Models: timm architectures from scratch, their files, and clean inference with them."""
