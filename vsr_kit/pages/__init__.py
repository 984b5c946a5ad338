"""HTML pages that need no network: the course as a site, a notebook as one page, and a report on runs.

site.py executes notebooks and writes the course's index, html.py turns a notebook into a page, report.py compares run
folders.
Left out: a server; every page is a file.
"""
