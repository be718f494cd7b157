"""From files of any kind to one corpus table: sources, readers, label spaces, the corpus Parquet, the data report."""
