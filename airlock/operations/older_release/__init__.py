"""The release that runs below a revision: the statements it would send, and which of them a step breaks."""
