"""What turns results into pages and files: the baselines that figures are held against."""
