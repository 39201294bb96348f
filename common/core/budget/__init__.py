"""How calls are distributed: ceilings, holds, pace. Pure."""
