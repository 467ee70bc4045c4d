from .reprojection import correspondence_loss

__all__ = ["correspondence_loss"]
