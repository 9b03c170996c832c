"""Files that start a Ray cluster on Kubernetes, Slurm or a cloud, and run a ladder on it."""
