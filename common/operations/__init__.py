"""What operators ask and do: one function a question or act, for the HTTP API and the command line alike."""
