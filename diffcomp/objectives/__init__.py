"""What training minimises, for each family of networks, as functions of parameters and images."""
