"""Why a file is what it is."""
