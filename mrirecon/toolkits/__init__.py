"""Public weights of other toolkits: the names of their tensors, and the models they belong to."""
