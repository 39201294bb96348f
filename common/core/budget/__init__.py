"""How the calls are shared out: ceilings, holds, pace. Pure."""
