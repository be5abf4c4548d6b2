module telectl.test/peers

go 1.24
