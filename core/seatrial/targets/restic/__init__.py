"""The restic target: the ``restic`` program as client of ``rest-server``, of ``rclone serve restic``, or of our embedded server."""
