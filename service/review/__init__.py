"""The review of pseudo labels: pages of images that are worth a look, and marks that later generations follow."""
