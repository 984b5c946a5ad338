"""Pages: the course as a site, a notebook as one page, and a report on runs, all of which ask no network.

Left out: a server; every page is a file.
"""
