"""What a control repository is made of: the toolkit, its pipeline and policies, and the apps with their tests."""
