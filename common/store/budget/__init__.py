"""SQL on calls, the queue, the gate and refresh jobs."""
