"""For people who have a model: depth of photographs, export, and the model card."""
