"""Looking at recordings: findings, and one interval of one mouse."""
