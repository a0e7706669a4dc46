"""The registry of models: versions, the rule, the history of champions, the registered program."""
