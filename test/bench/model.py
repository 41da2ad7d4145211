def cluster_rate(members):
    """User events a second that serf carries in all, for so many members."""
    if members <= 3:
        return 20 if members == 3 else 10
    return 30 if members <= 9 else 15 if members <= 99 else 10
