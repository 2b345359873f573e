"""Registration of datasets: separate processes read their foreign bytes, with limits on memory and time."""
