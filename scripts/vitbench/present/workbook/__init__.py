"""The workbook: its sheets and native charts."""
