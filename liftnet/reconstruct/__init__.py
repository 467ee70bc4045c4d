"""Shape from one image: networks trained by their own losses and by DR-KFS."""
