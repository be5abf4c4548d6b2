# Completion of telectl for fish: telectl completions fish | source
complete --command telectl --no-files --keep-order --arguments '(telectl __complete -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token) 2>/dev/null)'
