"""What is measured with: data sets, models, jars and Java, each made or fetched once, whole or not at all."""
