"""Export of students as self-contained folders."""
