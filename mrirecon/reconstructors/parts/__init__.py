"""Parts that methods share: data terms, consistency layers, kernels, weights, steps."""
