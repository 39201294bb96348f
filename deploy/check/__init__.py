"""The proof of the image: `make deploy-check` builds the Dockerfile and runs every process from the result."""
