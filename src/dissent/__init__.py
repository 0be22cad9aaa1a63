"""How differently trained models disagree, and what that is worth."""
