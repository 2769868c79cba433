"""Early exits: where they attach, what their heads are, when they fire."""
