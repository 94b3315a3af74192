"""What is trained: configuration, loss, optimizer."""
