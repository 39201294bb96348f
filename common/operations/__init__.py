"""What operators ask and do: one function a question or act, below the HTTP API and the command line alike. It knows neither."""
