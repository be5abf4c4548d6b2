module telectl.test/images

go 1.24
