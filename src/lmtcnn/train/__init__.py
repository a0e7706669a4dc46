"""From stacks to networks: folds, rates, the network, its training."""
