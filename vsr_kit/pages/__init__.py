"""HTML pages that need no network: the course as a site, a notebook as one page, a report on runs, and rollouts.

site.py executes notebooks and writes the course's index, whose beginning is in landing.py, the picture there in
moving_picture.py; furnished.py shows rooms that the study has none of; html.py turns a notebook
into a page, report.py compares run folders. browser.py writes the rollout browser as one file: packing.py brings tables
into the form that its script reads, rooms.py draws plans and clips. gallery.py shows the shipped study in it, and
verdicts.py every verdict with answers that show it; cited.py has the same for notebooks. filling.py fills templates.
Left out: a server; every page is a file.
"""
