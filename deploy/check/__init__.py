"""The proof of the image: `python -m deploy.check` builds the Dockerfile and runs every process from what came out."""
