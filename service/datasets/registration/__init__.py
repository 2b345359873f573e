"""Registration of datasets: their foreign bytes are read in processes of their own, with limits of memory and time."""
