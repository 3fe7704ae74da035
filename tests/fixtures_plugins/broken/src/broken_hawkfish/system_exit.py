raise SystemExit("this plugin wants to end the process")
