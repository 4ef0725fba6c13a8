"""What is live on the disk now: the logs of transactions, held open, and a look at the directories."""
