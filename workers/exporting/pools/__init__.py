"""Writes pseudo-labeled pools with their pictures: WebDataset, Hugging Face, and folders of links for people."""
