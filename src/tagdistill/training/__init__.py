"""One way of training for teachers and students."""
