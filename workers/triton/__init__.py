"""The workers' side of Triton: one client, and the check that both sides mean the same model."""
