"""What targets share whose clients and servers are programs of others: finding them, running them, judging how they ended, serving."""
