"""Who goes next, what an answer means, when to look again."""
