"""leakwatch finds exposed AI-service keys in public and tells their owners."""
