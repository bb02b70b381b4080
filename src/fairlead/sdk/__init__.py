"""What people and the command line build on: find the server, build objects, upload code, follow a job."""
