"""The diffusion process: noise levels and the sampler. Knows no network: it is given one."""
