"""Flows of the deployments. Their loggers, and those of the code they call, log to the run's page from INFO up."""

import logging

from mvideo.flows._cancelled import end_as_cancelled
from mvideo.flows._orphans import end_with_the_worker

LOGGERS = ("mvideo_core", "mvideo")
"""Prefect attaches its handler to the loggers in PREFECT_LOGGING_EXTRA_LOGGERS, but does not set their level."""

for _name in LOGGERS:
    if logging.getLogger(_name).level == logging.NOTSET:
        logging.getLogger(_name).setLevel(logging.INFO)

end_with_the_worker()
end_as_cancelled()
